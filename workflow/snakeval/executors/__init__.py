"""Where jobs run: on this machine, on Slurm, on Lepton, or elsewhere."""
