"""The models: networks that learned from history, and the manifest that says what each of them learned and from what.

Reading a manifest (`manifest.py`, `scaler.py`, `calibration.py`, `store.py`) needs no torch: the gateway lists models
without it. The networks (`lstm.py`, `transformer.py`, `policy.py`) and `weights.py`, which opens their files, do.
"""
