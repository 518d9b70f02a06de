"""From RTP packets to whole pictures and sound packets, without decoding them.

:mod:`recorder.rtp.packet` reads headers, :mod:`recorder.rtp.order` puts packets of one SSRC in
order and counts what is missing, the modules of the payload formats take packets apart, and
:mod:`recorder.rtp.assembly` puts the parts of a picture together again.
"""
