"""ResCom: rebalanced Siamese contrastive mining."""
