"""DSCL with patch-based self-distillation."""
