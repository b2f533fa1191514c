"""Small tools that know nothing of diffusion: checks, files, progress, images, notebooks."""
