"""What uses a trained model: load, sample by name, export, draw its pictures again."""
