"""Weight families into covariances and p-values."""
