"""The command line: parsing and rendering over vecmigrate.commands."""
