"""Saved models as ONNX, from raw columns to decisions. Start at :func:`benchmarks.models.onnx_form.writing.to_onnx`."""
