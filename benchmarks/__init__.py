"""What the product promises in figures, measured; no part of the product."""
