"""What a network has learned, measured from its weights, activations and logits.

Pure functions of NumPy arrays, best in float64; only `landscape`, which needs gradients, takes torch tensors.
Nothing here knows how networks are trained or stored. `calibration` tries them on networks whose solution is
known, those of `analytic`; docs/diagnostics.md says what came out.
"""
