"""Take data with a suite: ``python run_daq.py [lifetime_setup.yaml]``."""

import sys

from labdaq.compat.mimocorb.buffer_control import run_mimoDAQ

if __name__ == "__main__":
    daq = run_mimoDAQ(sys.argv[1] if len(sys.argv) > 1 else "lifetime_setup.yaml")
    daq.setup()
    daq.run()
