"""How good translations are: scores (`metrics`), their uncertainty (`bootstrap`) and what a person reads (`report`)."""
