"""Sequential design: what runs tell about the optimal mixture, and which to train next."""
