# The `reelstream` command with all it needs at run time: no network but Kafka's. See docs/docker.md.
FROM python:3.11-slim-bookworm

# The directory of manual pages, which slim images leave out, since the packaging of some Javas fails without it.
RUN mkdir -p /usr/share/man/man1 \
 && apt-get update \
 && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
 && rm -rf /var/lib/apt/lists/*

# A new named volume on /warehouse takes over this owner.
RUN useradd --uid 1000 --create-home reelstream \
 && install -d -o reelstream -g reelstream /warehouse

# The large layer; it is rebuilt only when the pins change.
COPY requirements/run.txt /tmp/run.txt
RUN python -m pip install --no-cache-dir --require-hashes -r /tmp/run.txt

ENV REELSTREAM_CACHE=/opt/reelstream REELSTREAM_WAREHOUSE=/warehouse
COPY . /tmp/reelstream
RUN python -m pip install --no-cache-dir --no-deps /tmp/reelstream \
 && rm -rf /tmp/reelstream \
 && python -c "from reelstream.broker.jars import spark_kafka_jars; spark_kafka_jars(print)"

USER reelstream
WORKDIR /home/reelstream
# The kernels for this machine's processor; on another one they are compiled at the first use.
RUN python -m reelstream.als

ENTRYPOINT ["reelstream"]
CMD ["up"]
