"""What predictions are worth: measured, drawn and told."""
