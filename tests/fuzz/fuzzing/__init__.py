"""What is thrown at the parsers: cases that are nearly right, and what must come of them."""
