"""Bad networks: profiles, and ways to put them between a participant and a server."""
