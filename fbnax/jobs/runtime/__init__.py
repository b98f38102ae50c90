"""What all jobs share: work directory, shell, processes, configs, inputs."""
