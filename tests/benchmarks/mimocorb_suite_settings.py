"""Settings of the muon suite, for both sides of the benchmark."""

SIGNATURES = (("++--", "0+--"), ("++--", "--+0"), ("++++", "000+"))
FIRST_MV, SECOND_MV, DISTANCE, WIDTH, WINDOW = 90.0, 35.0, 10, 10, 20
