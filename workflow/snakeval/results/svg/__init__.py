"""Draws plots as inline SVG: without JavaScript, in the colours of the page, at any width."""
