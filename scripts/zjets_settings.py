"""Settings of Pythia for the samples of Z(mumu) + jets: those of the full samples."""

__all__ = ["BIASED", "BIAS_POWER", "BIAS_REFERENCE", "PROCESS", "SAMPLES"]

BIAS_POWER, BIAS_REFERENCE = 2.0, 140.0

PROCESS = [
    "Print:quiet=on",
    "Beams:eCM=13000.",
    "WeakBosonAndParton:qqbar2gmZg=on",
    "WeakBosonAndParton:qg2gmZq=on",
    "23:onMode=off",
    "23:onIfAny=13",
    "PhaseSpace:pTHatMin=140",
    "23:mMin=70",
    "23:mMax=112",
    "WeakZ0:gmZmode=0",
    "ParticleDecays:limitTau0=on",
    "ParticleDecays:tau0Max=10",
]
BIASED = [
    "PhaseSpace:bias2Selection=on",
    f"PhaseSpace:bias2SelectionPow={BIAS_POWER:.0f}.",
    f"PhaseSpace:bias2SelectionRef={BIAS_REFERENCE:.0f}.",
]
SAMPLES = {
    "simulation": ["Tune:pp=14", *BIASED],
    "data": ["Tune:pp=21", "SpaceShower:dipoleRecoil=on"],
    "theory": [
        "Tune:pp=14",
        "Tune:ee=7",
        "MultipartonInteractions:ecmPow=0.03344",
        "MultipartonInteractions:bProfile=2",
        "MultipartonInteractions:pT0Ref=1.41",
        "MultipartonInteractions:coreRadius=0.7634",
        "MultipartonInteractions:coreFraction=0.63",
        "ColourReconnection:range=5.176",
        "SigmaTotal:zeroAXB=off",
        "SpaceShower:alphaSorder=2",
        "SpaceShower:alphaSvalue=0.118",
        "SigmaProcess:alphaSvalue=0.118",
        "SigmaProcess:alphaSorder=2",
        "MultipartonInteractions:alphaSvalue=0.118",
        "MultipartonInteractions:alphaSorder=2",
        "TimeShower:alphaSorder=2",
        "TimeShower:alphaSvalue=0.118",
        "SpaceShower:rapidityOrder=on",
        "PDF:pSet=20",
        *BIASED,
    ],
}
