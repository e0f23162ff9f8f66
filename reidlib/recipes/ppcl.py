"""Settings of PPCL (He et al. 2021, section 4.2).

Optimiser, batch and schedule are not given: those of STNReID.

With a ResNet-50 its authors print rank-1 79.0 on Partial-REID and 69.7 on Partial-iLIDS (Table 2),
83.7 and 71.4 with the bag of tricks (PPCL+).
"""

from reidlib.recipes import stnreid

# The rectifier, trained before all else and by itself.
GLREC = stnreid.BASELINE.but(model="glrec", options={}, backbone="resnet18", cropping=0.0)

RECIPE = stnreid.BASELINE.but(model="ppcl", options={}, cropping=0.0, start=GLREC)
