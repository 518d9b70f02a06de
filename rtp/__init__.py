"""From RTP packets to whole pictures and sound packets, without decoding them.

:mod:`rtp.packet` reads headers, :mod:`rtp.order` puts packets of one SSRC in order and counts what
is missing, the modules of the payload formats take packets apart, and :mod:`rtp.assembly` puts the
parts of a picture together again. The recorder reads its files with it, the analytics host its tap.
"""
