"""Moving everything from one database into another, and comparing both afterwards."""
