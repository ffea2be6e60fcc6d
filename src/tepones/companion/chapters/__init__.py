"""One module for each notebook, of the same name: the frames that the chapter shows, and their charts."""
