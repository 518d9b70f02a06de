"""What was sent against what was captured, and the frames that were uploaded to fill gaps.

:mod:`recorder.backfill.form` reads uploaded frames, :mod:`recorder.backfill.ledger` keeps account
of every chunk, :mod:`recorder.backfill.examine` compares chunks with captured packets,
:mod:`recorder.backfill.store` keeps what was uploaded, :mod:`recorder.backfill.reader` reads
captured and uploaded frames as one, and :mod:`recorder.backfill.service` runs all of it.
"""
