//! Metrics before they are written down, in whatever form: text for Prometheus, messages of OTLP.

/// All samples of one name, which Prometheus would take as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    pub samples: Vec<Sample>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Since the process began, or what it asks.
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values that tell samples of one family apart.
    pub labels: Vec<(&'static str, String)>,
    pub figure: Figure,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    Whole(u64),
    Real(f64),
    /// Each count is of one bucket alone, by its upper bound; the last has none.
    Histogram {
        bounds_us: &'static [u64],
        counts: Vec<u64>,
        sum_us: u64,
    },
}

/// As the families of a table write them.
pub(crate) type Labels<'a> = &'a [(&'static str, &'a str)];

/// Families, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Families(Vec<Family>);

impl Families {
    /// Samples that follow belong to this family. Each is begun once.
    pub(crate) fn begin(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        self.0.push(Family { name, kind, help, samples: Vec::new() });
    }

    pub(crate) fn sample(&mut self, labels: Labels<'_>, figure: impl Into<Figure>) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        let family = self.0.last_mut().expect("a family was begun");
        family.samples.push(Sample { labels, figure: figure.into() });
    }

    /// A family of one sample.
    pub(crate) fn single(
        &mut self,
        name: &'static str,
        kind: Kind,
        help: &'static str,
        figure: impl Into<Figure>,
    ) {
        self.begin(name, kind, help);
        self.sample(&[], figure);
    }

    pub(crate) fn histogram(
        &mut self,
        labels: Labels<'_>,
        bounds_us: &'static [u64],
        counts: &[u64],
        sum_us: u64,
    ) {
        self.sample(labels, Figure::Histogram { bounds_us, counts: counts.to_vec(), sum_us });
    }

    pub(crate) fn all(self) -> Vec<Family> {
        self.0
    }
}

impl From<u64> for Figure {
    fn from(whole: u64) -> Self {
        Figure::Whole(whole)
    }
}

impl From<usize> for Figure {
    fn from(whole: usize) -> Self {
        Figure::Whole(whole as u64)
    }
}

impl From<u8> for Figure {
    fn from(whole: u8) -> Self {
        Figure::Whole(whole.into())
    }
}

impl From<f64> for Figure {
    fn from(real: f64) -> Self {
        Figure::Real(real)
    }
}
