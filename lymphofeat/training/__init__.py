"""Fine-tuning by recipes: augmentation, losses, steps, checkpoints. It knows `encoder`, never the other way."""
