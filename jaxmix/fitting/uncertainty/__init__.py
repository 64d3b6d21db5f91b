"""How sure a fit is: refits of resampled rows, model error, noise and influence."""
