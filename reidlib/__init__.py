"""reidlib: models and training loops behind the re-identification workbook.

The experiments are the notebooks; this library is what they share. Its core imports with torch,
torchvision, numpy, pandas, pillow, tqdm, pyyaml and safetensors alone.
"""

__version__ = "0.1.0"
