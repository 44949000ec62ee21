"""From a configuration to a trained model: loss, optimizer, schedules, callbacks, checkpoints and the trainer."""
