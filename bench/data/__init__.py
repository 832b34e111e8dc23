"""Real avatars: rendered here (Avataaars) or read from the user's Cartoon Set, as one labelled set."""
