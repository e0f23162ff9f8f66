"""What notebooks hold on to: reports, tables, profiles, the batch, the command line."""
