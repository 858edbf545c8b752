"""From bytes that senders write to batches."""
