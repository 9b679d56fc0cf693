"""Training: data sets, recipes, losses, and the loop that makes a network out of colour photographs."""
