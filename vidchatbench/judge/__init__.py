"""The LLM judge: the rubric, the panel, the calibration that shows its biases, the report; `llm` asks the models."""
