"""``witness bench``: what the server costs, measured.

``server`` runs in the process under test, everything else in the one that measures.
"""
