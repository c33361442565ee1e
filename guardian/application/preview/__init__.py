"""`guardian preview --all`: every mail that the product can send, from sample data, to look at before any is sent."""
