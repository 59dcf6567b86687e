"""From a planned graph to a program: where tensors live, how work is cut up, which steps run."""
