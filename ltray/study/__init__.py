"""The search's record and its decisions: who proposes, who goes on, what it may spend."""
