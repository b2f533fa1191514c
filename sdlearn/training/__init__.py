"""How the shipped model was trained: one module for each part, and the chain that joins them."""
