"""Job `nbdt_tables`: trees and networks compared, cell by cell."""
