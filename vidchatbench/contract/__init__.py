"""The contract between the harness and metric packages; plugin authors import it through ``vidchatbench.api``."""
