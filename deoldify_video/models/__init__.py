"""Networks: the registry, the colorizer that runs them, one file a family."""
