"""From a configuration to a trained model: loss, optimizer, schedules, updates, the course of a run, its state."""
