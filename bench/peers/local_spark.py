"""A Spark of two threads in this process, with nothing kept outside of a directory."""
from pyspark.sql import SparkSession


def start(memory, workdir, **settings):
    """settings: more of Spark's, with _ in place of dots"""
    builder = (SparkSession.builder.master("local[2]").appName("bench").config("spark.driver.memory", memory)
               .config("spark.ui.enabled", "false").config("spark.local.dir", workdir).config("spark.sql.shuffle.partitions", "2"))
    for name, value in settings.items():
        builder = builder.config(name.replace("_", "."), value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def stop(spark):
    """Ends its JVM, too: what it used counts for nobody else."""
    gateway = spark.sparkContext._gateway
    spark.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
