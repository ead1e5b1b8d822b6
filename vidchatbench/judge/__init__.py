"""The LLM judge: endpoints, the rubric, the panel, its guards against its own biases, anchors and the budget."""
