"""What the lecture's studies train: a file a study."""
