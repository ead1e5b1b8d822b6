"""Drawing: SVG, scales, text and pages."""
