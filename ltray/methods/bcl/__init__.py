"""BCL: balanced contrastive learning."""
